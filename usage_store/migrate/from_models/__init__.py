"""What `create --from` needs besides: the models, loaded, and the text of a migration."""
