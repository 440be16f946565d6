//! Sockets: TCP, proxy, TLS and the websocket (no AWS API, no session protocol).
