//! The status codes that oneloop sends, with their reason phrases (RFC 9110 15).

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

/// Why a request is refused: the status of the response, and what is wrong as text for the client.
pub type Reason = (Status, &'static str);

/// The reason for a 400.
pub(super) fn bad(why: &'static str) -> Reason {
    (Status::BAD_REQUEST, why)
}

/// Declares the codes once, for the constants, the phrases and the list.
macro_rules! statuses {
    ($($code:literal $name:ident $phrase:literal),* $(,)?) => {
        impl Status {
            $(
                #[doc = concat!("`", $code, " ", $phrase, "`")]
                pub const $name: Status = Status($code);
            )*

            /// Every code that oneloop can send.
            pub const ALL: &'static [Status] = &[$(Status::$name),*];

            /// The status line of a response, with its CRLF. The version is always 1.1 (RFC 9110
            /// 6.2).
            pub fn line(self) -> &'static str {
                match self.0 {
                    $($code => concat!("HTTP/1.1 ", $code, " ", $phrase, "\r\n"),)*
                    _ => "HTTP/1.1 500 Internal Server Error\r\n",
                }
            }

            /// The reason phrase.
            pub fn phrase(self) -> &'static str {
                match self.0 {
                    $($code => $phrase,)*
                    _ => "Internal Server Error",
                }
            }
        }
    };
}

statuses! {
    200 OK "OK",
    204 NO_CONTENT "No Content",
    206 PARTIAL_CONTENT "Partial Content",
    301 MOVED_PERMANENTLY "Moved Permanently",
    304 NOT_MODIFIED "Not Modified",
    400 BAD_REQUEST "Bad Request",
    404 NOT_FOUND "Not Found",
    405 METHOD_NOT_ALLOWED "Method Not Allowed",
    408 REQUEST_TIMEOUT "Request Timeout",
    412 PRECONDITION_FAILED "Precondition Failed",
    414 URI_TOO_LONG "URI Too Long",
    416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable",
    417 EXPECTATION_FAILED "Expectation Failed",
    431 HEAD_TOO_LARGE "Request Header Fields Too Large",
    500 INTERNAL_ERROR "Internal Server Error",
    501 NOT_IMPLEMENTED "Not Implemented",
    503 UNAVAILABLE "Service Unavailable",
    505 VERSION_NOT_SUPPORTED "HTTP Version Not Supported",
}

impl Status {
    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether a response with this status never has a body, and no Content-Length (RFC 9112 6.3;
    /// a 304 may have one, and oneloop leaves it out).
    pub const fn is_bodiless(self) -> bool {
        self.0 == 204 || self.0 == 304 || self.0 < 200
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
