"""Images with a mask, to learn the segmentation of tissue from: layouts of folders, and pixels of any size."""
