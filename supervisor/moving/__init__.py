"""Moving in and out: the original's files, crontabs, and jobs files of ours. Pure: texts in, drafts and texts out."""
