//! The filesystem a run starts from and becomes: layer store, import, inspect, uploads.
