"""The commands: one file for each, and the file is the public function of that name."""
