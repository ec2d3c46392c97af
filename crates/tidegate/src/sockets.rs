//! Where the listening socket comes from, if this process does not make its own: from the service manager, or
//! from the gateway whose place it takes.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_setfd};

/// A socket that the service manager made (`sd_listen_fds(3)`): the first one, where there are any.
pub fn activated() -> anyhow::Result<Option<TcpListener>> {
    let mut given = ListenFd::from_env();
    if given.len() > 1 {
        tracing::warn!(sockets = given.len(), "only the first socket of the service manager is used");
    }
    let Some(socket) = given.take_tcp_listener(0).context("use the socket of the service manager")? else {
        return Ok(None);
    };
    own(&socket)?;
    Ok(Some(socket))
}

/// Keeps a socket that came from outside to this process: a child that held it would keep it open.
pub fn own(socket: &TcpListener) -> anyhow::Result<()> {
    fcntl_setfd(socket.as_fd(), FdFlags::CLOEXEC).context("keep a socket from children")?;
    socket.set_nonblocking(true).context("use a socket without waiting")
}

/// Whether a socket at this address is what the configuration asks for.
pub fn fits(address: SocketAddr, wanted: SocketAddr) -> bool {
    address.ip() == wanted.ip() && (wanted.port() == 0 || address.port() == wanted.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_at_its_own_address_and_where_any_port_will_do() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(fits(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(fits(at("127.0.0.1:80"), at("127.0.0.1:0")));
        assert!(!fits(at("127.0.0.1:80"), at("127.0.0.1:81")));
        assert!(!fits(at("127.0.0.1:80"), at("0.0.0.0:0")));
    }
}
