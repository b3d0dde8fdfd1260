//! Failures of requests as `wasi:http` errors. None carries an address or a system message, because
//! guests must not see those.

use std::io;

use wasmtime_wasi_http::Error;

/// Maps a failed connection attempt.
pub(super) fn connect(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Error::DestinationIpUnroutable
        }
        _ => Error::DestinationUnavailable,
    }
}

/// Maps a failed TLS handshake.
pub(super) fn tls(error: &io::Error) -> Error {
    let source = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    match source {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some((*alert).into()), alert_message: None }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

/// Maps a failed exchange. `header_bytes` is the limit on a header section.
pub(super) fn exchange(error: &hyper::Error, header_bytes: u64) -> Error {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    let is_short = source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(u32::try_from(header_bytes).ok())
    } else if error.is_incomplete_message() || is_short {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if source.is_some() || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

/// Returns the `wasi:http` code of an error.
pub(super) fn code(error: &Error) -> &'static str {
    match error {
        Error::DnsTimeout => "DNS-timeout",
        Error::DnsError { .. } => "DNS-error",
        Error::DestinationNotFound => "destination-not-found",
        Error::DestinationUnavailable => "destination-unavailable",
        Error::DestinationIpProhibited => "destination-IP-prohibited",
        Error::DestinationIpUnroutable => "destination-IP-unroutable",
        Error::ConnectionRefused => "connection-refused",
        Error::ConnectionTerminated => "connection-terminated",
        Error::ConnectionTimeout => "connection-timeout",
        Error::ConnectionReadTimeout => "connection-read-timeout",
        Error::ConnectionWriteTimeout => "connection-write-timeout",
        Error::ConnectionLimitReached => "connection-limit-reached",
        Error::TlsProtocolError => "TLS-protocol-error",
        Error::TlsCertificateError => "TLS-certificate-error",
        Error::TlsAlertReceived { .. } => "TLS-alert-received",
        Error::HttpRequestDenied => "HTTP-request-denied",
        Error::HttpRequestBodySize(_) => "HTTP-request-body-size",
        Error::HttpRequestMethodInvalid => "HTTP-request-method-invalid",
        Error::HttpRequestUriInvalid => "HTTP-request-URI-invalid",
        Error::HttpRequestHeaderSectionSize(_) => "HTTP-request-header-section-size",
        Error::HttpResponseIncomplete => "HTTP-response-incomplete",
        Error::HttpResponseHeaderSectionSize(_) => "HTTP-response-header-section-size",
        Error::HttpResponseBodySize(_) => "HTTP-response-body-size",
        Error::HttpResponseContentCoding(_) => "HTTP-response-content-coding",
        Error::HttpResponseTimeout => "HTTP-response-timeout",
        Error::ConfigurationError => "configuration-error",
        Error::InternalError(_) => "internal-error",
        _ => "HTTP-protocol-error",
    }
}
