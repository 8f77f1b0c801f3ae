//! XRT's own library for cards in a computer without one. Opened the plain way, XRT ends the process here with an
//! exception that nothing can catch; this test not coming back would be that.

use flightvlm_xrt::{load, missing, Backend, Device, XrtError};

#[test]
fn a_computer_without_a_card_is_an_error_and_no_abort() {
    if let Some(reason) = missing(&Backend::Card).filter(|r| !r.contains("PCI bus")) {
        assert!(reason.contains("libxrt_coreutil.so.2"), "{reason}");
        return eprintln!("skipped: {reason}");
    }
    let library = load(&Backend::Card).expect("XRT is installed");
    if missing(&Backend::Card).is_none() {
        return eprintln!("skipped: this computer has a card");
    }
    for bdf in [None, Some("3b:00.1")] {
        let error = Device::open(library, bdf, 0).err().expect("there is no card");
        assert!(matches!(error, XrtError::NoCard { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("there is no card") && text.contains("xbutil"), "{text}");
    }
    // XRT takes one kind of card in a process.
    let error = load(&Backend::Emulated("/nowhere".into())).err().expect("the other kind").to_string();
    assert!(error.contains("one kind of card per process"), "{error}");
}
