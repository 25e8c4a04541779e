//! The headers that responses have in common, by kind of response: those of the configuration and
//! of the server, CORS, and the name of a single file.

use super::content_fields::{Disposition, disposition, is_about_content};
use super::options::SiteOptions;
use crate::http::fields::FieldLines;
use std::sync::Arc;

/// The common headers, by kind of response.
#[derive(Debug)]
pub(super) struct CommonHeaders {
    /// Of responses with content: 200, 206 and 304.
    pub(super) content: Arc<FieldLines>,
    /// Of all others: errors, redirects, responses to OPTIONS.
    pub(super) other: Arc<FieldLines>,
}

impl CommonHeaders {
    pub(super) fn new(options: &SiteOptions) -> Self {
        let mut content = options.headers.clone();
        if let Some(origin) = &options.cors {
            content.push("Access-Control-Allow-Origin", origin);
            content.push_default("Access-Control-Expose-Headers", "*");
            if origin != "*" {
                content.push_vary("Origin");
            }
        }
        if let Some(name) = &options.only
            && !content.has("Content-Disposition")
        {
            content.push_metadata(
                "Content-Disposition",
                disposition(Disposition::Inline, name),
            );
        }
        let mut other = content.clone();
        other.retain(|name| !is_about_content(name));
        Self {
            content: Arc::new(content),
            other: Arc::new(other),
        }
    }
}
