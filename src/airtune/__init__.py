"""airtune: fine-tune large language models across wireless devices, over the air."""
