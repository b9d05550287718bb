//! The HTTP face: auth, routes, event streams, configuration.
