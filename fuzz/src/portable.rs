//! Files of other programs.

use portable::{GATEWAYS, Origin, Target, clients};

/// Any bytes as a file of a client or a gateway, in each format.
///
/// * What is read can be written in that format, or is refused.
/// * What is written is read again, and none of its servers is refused.
///
/// # Panics
/// Where one of these does not hold.
pub fn portable(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in clients().into_iter().chain(GATEWAYS.iter().copied()) {
        let Ok(read) = format.import(text, &Origin::default()) else { continue };
        let Ok(written) = format.export(&read.deployment, &Target::default()) else { continue };
        let again = format.import(&written.text, &Origin::default());
        let again = again.unwrap_or_else(|fault| panic!("{}: {fault}\n{}", format.name(), written.text));
        assert!(again.refused.is_empty(), "{}: {:?}\n{}", format.name(), again.refused, written.text);
    }
}
