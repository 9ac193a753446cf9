# nightly: written by `evalmatrix export terraform` (evalmatrix 0.1.0).
# What a suite is given on AWS: an object store, a registry of images, a role.
#
# Exit codes of a run, by which it is retried or not:
#   0  the gate passed
#   1  the gate failed
#   2  the suite, an argument or an input is wrong; nothing was evaluated
#   3  something could not be evaluated, and the gate does not forgive errors
#   4  the machinery failed: the store, Spark, or the tracking server; the message says what is safe and how to resume
# 0 is done; 1, 2 and 3 stay what they are if it is tried again; 4, or a run that was killed, is tried
# again under the same run id, and goes on where it was stopped.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

# The object store: results, states, the lake. Models and reports of MLflow can lie beside it.
resource "aws_s3_bucket" "store" {
  bucket = var.bucket
  tags   = local.tags
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  bucket = aws_s3_bucket.store.id

  rule {
    id     = "what was replaced"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
}

# The registry of images.
resource "aws_ecr_repository" "image" {
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  tags                 = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }
}

# The role of the runs: of the service account nightly of a cluster, and of nobody else.
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_provider}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${local.name}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_provider}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "store" {
  statement {
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = [aws_s3_bucket.store.arn]
  }

  statement {
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.store.arn}/*"]
  }
}

resource "aws_iam_role" "run" {
  name               = "evalmatrix-${local.name}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = local.tags
}

resource "aws_iam_role_policy" "store" {
  name   = "store"
  role   = aws_iam_role.run.id
  policy = data.aws_iam_policy_document.store.json
}
