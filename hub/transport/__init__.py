"""Requests to push services over libcurl, and the access tokens they carry: read `client` first."""
