variable "cluster_name" {
  description = "EKS cluster that Foretop runs in."
  type        = string
}

variable "watched_clusters" {
  description = "EKS clusters of this account and region whose audit logs Foretop reads; null is the one it runs in."
  type        = list(string)
  default     = null
}

variable "assume_role_arns" {
  description = "Roles in other accounts that Foretop may assume, as the module eks-account makes them."
  type        = list(string)
  default     = []
}

variable "identity" {
  description = "How the pod gets the role: irsa (IAM roles for service accounts; the cluster's OIDC provider must exist in IAM) or pod-identity (the add-on eks-pod-identity-agent must be installed)."
  type        = string
  default     = "irsa"

  validation {
    condition     = contains(["irsa", "pod-identity"], var.identity)
    error_message = "Write irsa or pod-identity."
  }
}

variable "role_name" {
  description = "Name of the IAM role."
  type        = string
  default     = "foretop"
}

variable "namespace" {
  description = "Kubernetes namespace of Foretop."
  type        = string
  default     = "foretop"
}

variable "service_account" {
  description = "Kubernetes service account of Foretop."
  type        = string
  default     = "foretop"
}

variable "tags" {
  description = "Tags for what is made."
  type        = map(string)
  default     = {}
}
