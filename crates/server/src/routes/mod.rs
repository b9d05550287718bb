//! The routes: one file for each resource of the contract, each with its paths at the top.
//! Handlers are thin. They read the request, ask the engine, and shape the answer; who may do
//! what, and what it means, is the engine's.

mod admin;
mod events;
mod files;
mod health;
mod images;
mod import;
mod inspect;
mod instances;
mod operations;
mod subprocesses;
mod whoami;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::openapi;

/// All of them.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(openapi::routes())
        .merge(health::routes())
        .merge(images::routes())
        .merge(import::routes())
        .merge(files::routes())
        .merge(instances::routes())
        .merge(operations::routes())
        .merge(events::routes())
        .merge(subprocesses::routes())
        .merge(inspect::routes())
        .merge(whoami::routes())
        .merge(admin::routes())
}
