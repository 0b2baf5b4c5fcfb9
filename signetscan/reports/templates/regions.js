{% include "stage.js" %}
