"""The parts of `dataset.yml`: one module for each, from columns to publication."""
