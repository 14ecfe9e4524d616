//! The trace that a request belongs to already: the header `traceparent` of W3C Trace Context.

/// Whose part a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    /// The trace; never zero.
    pub(super) trace: u128,
    /// The span in which the request was made; never zero.
    pub(super) span: u64,
    /// Whether the caller keeps the trace.
    pub(super) is_sampled: bool,
}

impl Parent {
    /// Reads the header; `None` if it is malformed, which counts as absent. Later versions may say more after a hyphen.
    pub(super) fn read(text: &str) -> Option<Parent> {
        let mut parts = text.splitn(5, '-');
        let mut next = |n_digits| parts.next().filter(|part| part.len() == n_digits && part.bytes().all(is_hex));
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let has_more = parts.next().is_some();
        if version == "ff" || (version == "00" && has_more) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Parent { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// The header has small letters only.
fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_the_standard_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let read = |text: &str| Parent::read(text);
        let expected = |is_sampled| {
            Some(Parent { trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span: 0xb7ad_6b71_6920_3331, is_sampled })
        };
        assert_eq!(read(&format!("00-{trace}-b7ad6b7169203331-01")), expected(true));
        assert_eq!(read(&format!("00-{trace}-b7ad6b7169203331-00")), expected(false));
        assert_eq!(read(&format!("00-{trace}-b7ad6b7169203331-03")), expected(true));
        assert_eq!(read(&format!("cc-{trace}-b7ad6b7169203331-01-what-comes")), expected(true));
        for text in [
            String::new(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{trace}-+7ad6b7169203331-01"),
            format!("0-{trace}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
