//! Joins records, images and sandbox: operations from request to committed image.
