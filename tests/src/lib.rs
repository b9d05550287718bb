//! End-to-end tests over HTTP and the command line.
