"""What a HAProxy configuration needs around it: files, folders, variables, names, servers."""
