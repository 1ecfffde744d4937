//! TLS of our side, out of PEM files.

use crate::base::Error;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;

/// Certificate chain and private key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Ours first.
    pub certificates: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// What a server of TLS 1.2 and 1.3 needs.
///
/// # Errors
/// [`Error::Usage`] that names the file that cannot be used. Nothing of the key is told.
pub fn server(files: &TlsFiles) -> Result<Arc<ServerConfig>, Error> {
    let wrong = |path: &PathBuf, why: &dyn std::fmt::Display| Error::Usage(format!("{}: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| wrong(&files.certificates, &why))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| wrong(&files.key, &why))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|why| wrong(&files.certificates, &why))?;
    Ok(Arc::new(config))
}
