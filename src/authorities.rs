//! The certificate authorities that this machine trusts.

use rustls::RootCertStore;

/// Returns the authorities of the operating system, as far as they can be used; none if it has none.
pub fn of_this_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
