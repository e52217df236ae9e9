"""T5 models that write the next item: prompts, tries, decoding, both tasks, and their trainer."""
