//! The certificates of a fleet's servers.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

use crate::failure::Failed;

/// The authority that signs the certificates of one fleet. Its key is in no file: a new server gets new
/// files for the whole fleet.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The certificate of a server, and its key, both in PEM.
pub(super) struct ServerCertificate {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Result<Self, Failed> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "skep fleet");
        let key = KeyPair::generate().map_err(fault)?;
        Ok(Self(CertifiedIssuer::self_signed(params, key).map_err(fault)?))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs the certificate of a server with this name or address.
    pub(super) fn sign(&self, host: &str) -> Result<ServerCertificate, Failed> {
        let params = CertificateParams::new(vec![host.to_owned()]).map_err(fault)?;
        let key = KeyPair::generate().map_err(fault)?;
        let certificate = params.signed_by(&key, &self.0).map_err(fault)?;
        Ok(ServerCertificate { chain: certificate.pem(), key: key.serialize_pem() })
    }
}

fn fault(error: rcgen::Error) -> Failed {
    Failed::here(format!("cannot make a certificate: {error}"))
}
