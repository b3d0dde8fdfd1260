//! The errors that a guest can give as its answer to an HTTP request.

use std::fmt;
use std::str::FromStr;

use crate::Invalid;

/// An error of `wasi:http`, by its name in the header `Proxy-Status` (RFC 9209).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError(&'static str);

/// Every name. Those after the first part of RFC 9209's list are from `wasi:http` alone.
const NAMES: &[&str] = &[
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_denied",
    "http_request_length_required",
    "http_request_body_size",
    "http_request_method_invalid",
    "http_request_uri_invalid",
    "http_request_uri_too_long",
    "http_request_header_section_size",
    "http_request_header_size",
    "http_request_trailer_section_size",
    "http_request_trailer_size",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_loop_detected",
    "proxy_configuration_error",
    "proxy_internal_error",
];

impl ProxyError {
    /// The error of a guest that failed without saying why.
    pub const INTERNAL: Self = Self("proxy_internal_error");

    /// Returns every error.
    pub fn every() -> impl Iterator<Item = Self> {
        NAMES.iter().copied().map(Self)
    }

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for ProxyError {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::every().find(|error| error.0 == text).ok_or(Invalid::Query)
    }
}
