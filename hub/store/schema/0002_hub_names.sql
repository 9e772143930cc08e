-- Names of hubs are in lower case from here on; until now each stood as the configuration spelled it last.

UPDATE hub SET name = lower(name);
