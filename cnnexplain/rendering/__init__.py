"""From records to pages, thumbnails and notebook output; draws and writes no files of its own."""
