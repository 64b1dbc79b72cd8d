package certs

// systemBundles is empty: Windows keeps its roots in the registry.
var systemBundles []string
