//! A handler for tests of what a panic ends.

use crate::clock::Now;
use crate::handler::{Handler, ListenerInfo};
use crate::http::fields::FieldLines;
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::http::status::Status;
use std::net::IpAddr;
use std::sync::Arc;

/// Panics at requests for `/defect`, and answers all others with 200.
pub struct PanicsOnRequest;

impl Handler for PanicsOnRequest {
    type State = ();

    fn on_connect(&mut self, _: ListenerInfo, _: Option<IpAddr>) {}

    fn respond(
        &mut self,
        _: &mut (),
        request: Result<Request<'_>, Refusal<'_>>,
        _: Now,
    ) -> Response {
        let line = request.map(|request| request.line).unwrap_or_default();
        assert!(!line.starts_with(b"GET /defect"), "made to be caught");
        Response::new(Status::Ok, Arc::new(FieldLines::new()))
    }
}
