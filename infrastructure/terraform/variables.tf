variable "bucket" {
  description = "The name of the bucket; the suite's store is then s3://BUCKET/evalmatrix."
  type        = string
}

variable "oidc_provider" {
  description = "The cluster's OIDC provider without https://, as EKS shows it."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The ARN of that provider in IAM."
  type        = string
}

variable "namespace" {
  description = "The namespace of the service account."
  type        = string
  default     = "default"
}

locals {
  name = "nightly"
  tags = { app = "evalmatrix", suite = local.name }
}
