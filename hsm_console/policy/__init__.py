"""Who may do what (`roles`), and the rules of the house one works in (`environment`). Pure; reads only resources."""
