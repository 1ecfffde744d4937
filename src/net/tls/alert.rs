//! Alerts: how a peer says what it does not like (RFC 8446 6, RFC 5246 7.2).

/// Record type.
pub(super) const ALERT: u8 = 21;

/// The name of the alert that ends a connection with an error; none for others.
pub(super) fn fatal(body: &[u8], tls13: bool) -> Option<String> {
    let [level, description] = *body else { return None };
    // Closing and a user who has changed his mind are no errors, and TLS 1.3 has no warnings.
    if matches!(description, 0 | 90) || (level != 2 && !tls13) {
        return None;
    }
    let name = match description {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        other => return Some(format!("number {other}")),
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_and_warnings_are_no_errors() {
        assert_eq!(fatal(&[1, 0], false), None);
        assert_eq!(fatal(&[1, 112], false), None);
        assert_eq!(fatal(&[1, 90], true), None);
        assert_eq!(fatal(&[2, 45], false).as_deref(), Some("certificate_expired"));
        assert_eq!(fatal(&[1, 40], true).as_deref(), Some("handshake_failure"));
        assert_eq!(fatal(&[2, 200], true).as_deref(), Some("number 200"));
        assert_eq!(fatal(&[2], true), None);
    }
}
