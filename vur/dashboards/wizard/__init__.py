"""The steps of the Pipeline page: what each shows, and what it does with what the visitor chooses."""
