"""Secrets, certificates and principals: who may do what on the cluster, and how they prove who they are."""
