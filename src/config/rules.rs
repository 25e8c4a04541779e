//! The keys of a `[[rule]]` in the configuration file, and the values of options that do the same.

use std::str::FromStr;

use clap::{Parser, ValueEnum};

use super::types::media_type;
use super::values::{Header, Headers};
use crate::http::fields::FieldLines;
use crate::http::negotiate::Coding;
use crate::http::status::Status;
use crate::site::rules::{Action, CachePolicy, Disposition, Pattern, Rule, Target};

/// A `[[rule]]`. The comments are its part of docs/configuration.md.
// These comments are no Markdown: brackets are no links there.
#[allow(rustdoc::broken_intra_doc_links)]
#[derive(Debug, Parser)]
#[command(name = "rule", disable_help_flag = true)]
pub struct RuleArguments {
    /// For which paths the rule is: one pattern, or a list
    ///
    /// A pattern begins with a slash (/assets/**), or has none and is compared with the last part
    /// of the path (*.html). * is any part of a name, ** any number of whole names, ? one byte,
    /// [a-z] one of several, {js,css} one of these. A pattern is compared with the path of the file
    /// beneath ROOT, and with the addresses that lead to it: / for index.html, and with clean URLs
    /// /about for about.html. For redirects, rewrites and responses without a file, it is compared
    /// with the path of the request, beneath the base path.
    #[arg(long)]
    pub path: Vec<Pattern>,

    /// How long caches may store files
    ///
    /// As the key cache of the site, which comes after all rules. It replaces a Cache-Control that
    /// header sets for the whole site.
    #[arg(long)]
    pub cache: Option<CachePolicy>,

    /// Add these headers
    ///
    /// As --header: a header about content is sent with files only, every other one with all
    /// responses, errors and redirects, too.
    #[arg(long)]
    pub header: Vec<Headers>,

    /// The media type of files
    #[arg(long)]
    pub r#type: Option<MediaTypeName>,

    /// The content coding of files that are stored encoded
    ///
    /// For files such as x.wasm.br, x.svgz or tiles. They are sent with this Content-Encoding to
    /// every client. Their media type is that of the name without the suffix of the coding.
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,

    /// Whether a browser shows files or saves them, under their names
    #[arg(long, value_enum)]
    pub disposition: Option<DispositionName>,

    /// Redirect to this path or URL
    ///
    /// {path} is the requested path without its first slash. {rest} is the part of it that the **
    /// at the end of path stands for: /old/** and /new/{rest}. A path is one beneath the base path.
    /// The query of the request is kept unless the target has one. A redirect from an address to
    /// itself is left out.
    #[arg(long)]
    pub redirect: Option<Target>,

    /// The status of the redirect: 301, 302, 307 or 308; 302 without this key
    ///
    /// 301 and 308 are permanent: browsers keep them, and do not ask again.
    #[arg(long, value_parser = redirect_status)]
    pub status: Option<Status>,

    /// Answer with what is at this path
    ///
    /// As redirect, without the client noticing. Rules about files see the new path. No further
    /// redirect or rewrite is applied.
    #[arg(long, value_parser = rewrite_target)]
    pub rewrite: Option<Target>,
}

/// A media type (RFC 9110 8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypeName(String);

impl FromStr for MediaTypeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        media_type(text).map(Self)
    }
}

/// The codings of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// Brotli, with the suffix .br
    Br,
    /// Gzip, with the suffix .gz
    Gzip,
    /// Zstandard, with the suffix .zst
    Zstd,
}

/// The values of `disposition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DispositionName {
    /// A browser saves the file
    Attachment,
    /// A browser shows the file if it can
    Inline,
}

impl RuleArguments {
    /// The rule.
    ///
    /// # Errors
    /// Keys that do not go together, or a rule without effect.
    pub fn into_rule(self) -> Result<Rule, String> {
        let headers = self.header.into_iter().flat_map(|headers| headers.0);
        let headers = lines(headers);
        if self.cache.is_some() && headers.has("Cache-Control") {
            return Err("cache sets Cache-Control already; use either cache or header".to_owned());
        }
        let is_needed = |target: &Option<Target>| target.as_ref().is_some_and(Target::needs_rest);
        let action = match (self.redirect, self.status, self.rewrite) {
            (Some(_), _, Some(_)) => return Err("either redirect or rewrite, not both".to_owned()),
            (Some(target), status, None) => {
                Some(Action::Redirect(status.unwrap_or(Status::Found), target))
            }
            (None, Some(_), _) => return Err("status is for redirect, which is missing".to_owned()),
            (None, None, Some(target)) => Some(Action::Rewrite(target)),
            (None, None, None) => None,
        };
        let target = match &action {
            Some(Action::Redirect(_, target) | Action::Rewrite(target)) => Some(target.clone()),
            None => None,
        };
        let lacks_rest = |pattern: &&Pattern| pattern.before_rest().is_none();
        if let (true, Some(pattern)) = (is_needed(&target), self.path.iter().find(lacks_rest)) {
            return Err(format!(
                "{{rest}} needs a path that ends in /** and has no other wildcard, unlike {pattern}"
            ));
        }
        let rule = Rule {
            paths: self.path,
            cache: self.cache,
            headers,
            media_type: self.r#type.map(|name| name.0),
            encoding: self.encoding.map(|encoding| match encoding {
                Encoding::Br => Coding::Brotli,
                Encoding::Gzip => Coding::Gzip,
                Encoding::Zstd => Coding::Zstd,
            }),
            disposition: self.disposition.map(|name| match name {
                DispositionName::Attachment => Disposition::Attachment,
                DispositionName::Inline => Disposition::Inline,
            }),
            action,
        };
        if rule.paths.is_empty() {
            return Err("path is missing: for which paths the rule is".to_owned());
        }
        let without_effect = Rule {
            paths: rule.paths.clone(),
            ..Rule::default()
        };
        if rule == without_effect {
            return Err("the rule has no effect: only path is set".to_owned());
        }
        Ok(rule)
    }
}

/// The value of `--cache`; `none` is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache(pub Option<CachePolicy>);

impl FromStr for Cache {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ => text.parse().map(|policy| Self(Some(policy))),
        }
    }
}

/// The path beneath which a site is, without a slash at either end; empty for `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(pub String);

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('/').ok_or("a path such as /app")?;
        let name = name.strip_suffix('/').unwrap_or(name);
        let is_name = |segment: &str| {
            !["", ".", ".."].contains(&segment)
                && !segment.contains(|one: char| "%?#\\".contains(one) || one.is_control())
        };
        if !name.is_empty() && !name.split('/').all(is_name) {
            return Err("a path such as /app, of names and slashes, without escapes".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

/// The value of `--error-page`: `STATUS=FILE`; `none` is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage(pub Option<(Status, String)>);

impl FromStr for ErrorPage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// The errors of a request that can be parsed.
        const STATUSES: [Status; 11] = [
            Status::BadRequest,
            Status::Unauthorized,
            Status::NotFound,
            Status::MethodNotAllowed,
            Status::PreconditionFailed,
            Status::RangeNotSatisfiable,
            Status::ExpectationFailed,
            Status::MisdirectedRequest,
            Status::InternalServerError,
            Status::NotImplemented,
            Status::ServiceUnavailable,
        ];
        if text == "none" {
            return Ok(Self(None));
        }
        let (code, file) = text.split_once('=').ok_or_else(|| {
            "no equals sign: write STATUS=FILE, such as 404=errors/404.html".to_owned()
        })?;
        let known = STATUSES.iter();
        let status = known
            .clone()
            .find(|status| status.code().to_string() == code);
        let status = status.ok_or_else(|| {
            let codes: Vec<_> = known.map(|status| status.code().to_string()).collect();
            format!("{code:?} is none of the statuses {}", codes.join(", "))
        })?;
        let file = file.strip_prefix('/').unwrap_or(file);
        let is_name = |segment: &str| !["", ".", ".."].contains(&segment);
        if !file.split('/').all(is_name) {
            return Err(format!("{file:?} is not the name of a file in ROOT"));
        }
        Ok(Self(Some((*status, file.to_owned()))))
    }
}

fn redirect_status(text: &str) -> Result<Status, String> {
    match text {
        "301" => Ok(Status::MovedPermanently),
        "302" => Ok(Status::Found),
        "307" => Ok(Status::TemporaryRedirect),
        "308" => Ok(Status::PermanentRedirect),
        _ => Err("301, 302, 307 or 308".to_owned()),
    }
}

fn rewrite_target(text: &str) -> Result<Target, String> {
    let target = text.parse::<Target>()?;
    match target.is_path() {
        true => Ok(target),
        false => Err("a rewrite leads to a path, without a host and a query".to_owned()),
    }
}

fn lines(headers: impl Iterator<Item = Header>) -> FieldLines {
    let mut lines = FieldLines::new();
    for Header { name, value } in headers {
        lines.push(&name, value);
    }
    lines
}
