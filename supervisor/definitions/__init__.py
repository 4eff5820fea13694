"""From what a person wrote to a job: checked whole, before anything is stored."""
