"""Records as pages, thumbnails and notebook output. The package formats; `cnnexplain.results` writes the files."""
