//! Tokens, and trust in the server.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use skep_client::{Client, Endpoint, EndpointError, Token};
use skep_protocol::{Artifacts, Error, Overview, Role, Turns};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Connection, RUNTIME, Received, Server, json, problem};
use crate::{endpoint, message, worker};

/// Starts a server that accepts only this token.
async fn guarded(token: &'static str) -> Server {
    Server::start(move |mut connection| async move {
        while let Some(request) = connection.request().await {
            let good = request.header("authorization") == Some(&format!("Bearer {token}"));
            let refusal = problem(&Error::Unauthenticated);
            let answer = if good { json(200, RUNTIME) } else { refusal };
            connection.send(answer.replace("connection: close\r\n", "")).await;
        }
    })
    .await
}

fn with_file(url: &str, path: &Path) -> Client {
    let token = Token::File(path.to_owned());
    Client::new(Endpoint { token, ..endpoint(url) }).unwrap()
}

#[tokio::test]
async fn a_changed_token_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "old\n").unwrap();
    let server = guarded("new").await;
    let client = with_file(&server.url, &path);
    assert_eq!(client.describe().await.err(), Some(Error::RuntimeUnavailable));
    fs::write(&path, "new\n").unwrap();
    client.describe().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_reread_and_the_request_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "old").unwrap();
    let server = guarded("new").await;
    let client = with_file(&server.url, &path);
    // An editor may preserve the file's modification time.
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "new").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    client.describe().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_request_refused_for_its_token_is_repeated_even_if_not_idempotent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "old").unwrap();
    let server = guarded("new").await;
    let client = with_file(&server.url, &path);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "new").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    // The response is not valid for this request, but the request was sent again.
    let sent = client.send(worker(), message(None)).await;
    assert_eq!(sent.err(), Some(Error::RuntimeUnavailable));
    let tokens: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer old", "Bearer new"]);
}

#[tokio::test]
async fn a_started_upload_is_not_repeated_after_a_refused_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "old").unwrap();
    let server = guarded("new").await;
    let client = with_file(&server.url, &path);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "new").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    let wasm = stream::iter([Ok(Bytes::from_static(b"abc"))]).boxed();
    let stored = client.put_component(wasm, Role::Admin).await;
    assert_eq!(stored.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn no_token_is_sent_without_one() {
    let server = Server::answering(&[json(200, RUNTIME)]).await;
    let client = Client::new(Endpoint { token: Token::None, ..endpoint(&server.url) }).unwrap();
    client.describe().await.unwrap();
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn an_unusable_endpoint_names_the_next_step() {
    let refused = |endpoint: Endpoint| Client::new(endpoint).err().unwrap().to_string();
    let said = refused(endpoint("http://example.org:7071"));
    assert!(said.contains("use https://"), "{said}");
    let said =
        refused(Endpoint { ca: Some("/nowhere/ca.pem".into()), ..endpoint("https://localhost") });
    assert!(said.contains("/nowhere/ca.pem cannot be read"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    for bad in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        fs::write(&path, bad).unwrap();
        let refused =
            Client::new(Endpoint { ca: Some(path.clone()), ..endpoint("https://localhost") });
        assert!(matches!(refused.err(), Some(EndpointError::CaFileContent(_))), "{bad}");
    }
}

/// A certificate authority, and a server for `localhost` with its certificate.
struct Tls {
    authority: String,
    url: String,
    requests: Arc<Mutex<Vec<Received>>>,
}

impl Tls {
    async fn start() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::<Mutex<Vec<Received>>>::default();
        let noted = requests.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // A client that does not trust the server disconnects during the handshake.
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                let mut connection = Connection::over(socket, noted.clone());
                while connection.request().await.is_some() {
                    let answer = json(200, RUNTIME).replace("connection: close\r\n", "");
                    connection.send(answer).await;
                }
            }
        });
        Self { authority: authority.pem(), url, requests }
    }
}

#[tokio::test]
async fn the_operators_certificate_authority_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let tls = Tls::start().await;
    fs::write(&path, &tls.authority).unwrap();
    let client = Client::new(Endpoint { ca: Some(path), ..endpoint(&tls.url) }).unwrap();
    for _ in 0..2 {
        client.describe().await.unwrap();
    }
    assert_eq!(tls.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn other_authorities_are_not_trusted_and_get_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let (tls, other) = (Tls::start().await, Tls::start().await);
    fs::write(&path, &other.authority).unwrap();
    let stranger = Endpoint { ca: Some(path.clone()), ..endpoint(&tls.url) };
    // The right authority, but the certificate is for another name.
    fs::write(dir.path().join("right.pem"), &tls.authority).unwrap();
    let url = tls.url.replace("localhost", "127.0.0.1");
    let other_name = Endpoint { ca: Some(dir.path().join("right.pem")), ..endpoint(&url) };
    for endpoint in [stranger, other_name] {
        let client = Client::new(endpoint).unwrap();
        assert_eq!(client.describe().await.err(), Some(Error::RuntimeUnavailable));
    }
    assert!(tls.requests.lock().unwrap().is_empty());
}
