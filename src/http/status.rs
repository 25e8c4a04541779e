//! The status codes that oneloop sends, with their reason phrases (RFC 9110 15).

/// What is wrong with a request: the status of the response, and a sentence for the client.
pub type RequestError = (Status, &'static str);

/// A 400.
pub(super) fn bad_request(why: &'static str) -> RequestError {
    (Status::BadRequest, why)
}

/// Declares the codes once, with their phrases.
macro_rules! statuses {
    ($($code:literal $name:ident $phrase:literal),* $(,)?) => {
        /// A status code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Status {
            $(
                #[doc = concat!("`", $code, " ", $phrase, "`")]
                $name = $code
            ),*
        }

        impl Status {
            /// Every code that oneloop can send.
            pub const ALL: &'static [Status] = &[$(Status::$name),*];

            /// The status line of a response, with its CRLF. The version is always 1.1 (RFC 9110
            /// 6.2).
            pub fn line(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("HTTP/1.1 ", $code, " ", $phrase, "\r\n")),*
                }
            }

            /// The reason phrase.
            pub fn phrase(self) -> &'static str {
                match self {
                    $(Self::$name => $phrase),*
                }
            }
        }
    };
}

statuses! {
    200 Ok "OK",
    204 NoContent "No Content",
    206 PartialContent "Partial Content",
    301 MovedPermanently "Moved Permanently",
    302 Found "Found",
    304 NotModified "Not Modified",
    307 TemporaryRedirect "Temporary Redirect",
    308 PermanentRedirect "Permanent Redirect",
    400 BadRequest "Bad Request",
    401 Unauthorized "Unauthorized",
    404 NotFound "Not Found",
    405 MethodNotAllowed "Method Not Allowed",
    408 RequestTimeout "Request Timeout",
    412 PreconditionFailed "Precondition Failed",
    414 UriTooLong "URI Too Long",
    416 RangeNotSatisfiable "Range Not Satisfiable",
    417 ExpectationFailed "Expectation Failed",
    421 MisdirectedRequest "Misdirected Request",
    431 RequestHeaderFieldsTooLarge "Request Header Fields Too Large",
    500 InternalServerError "Internal Server Error",
    501 NotImplemented "Not Implemented",
    503 ServiceUnavailable "Service Unavailable",
    505 HttpVersionNotSupported "HTTP Version Not Supported",
}

impl Status {
    /// The number.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether a response with this status never has a body, and no Content-Length (RFC 9112 6.3;
    /// a 304 may have one, and oneloop leaves it out).
    pub const fn is_bodiless(self) -> bool {
        matches!(self, Self::NoContent | Self::NotModified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_line_of_its_own() {
        for &status in Status::ALL {
            let expected = format!("HTTP/1.1 {} {}\r\n", status.code(), status.phrase());
            assert_eq!(status.line(), expected);
        }
    }
}
