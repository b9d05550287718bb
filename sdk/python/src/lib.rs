//! The native module of the Python SDK.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
