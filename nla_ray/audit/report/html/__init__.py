"""The report as one page: its templates, its first sheet, and the references of its appendix."""
