"""Manifests for Kubernetes: what serves, what asks people, what trains, as kustomize bases."""
