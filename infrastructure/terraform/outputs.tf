output "store" {
  description = "The store of the suite."
  value       = "s3://${aws_s3_bucket.store.bucket}/evalmatrix"
}

output "image" {
  description = "The name of the image, for export --image."
  value       = aws_ecr_repository.image.repository_url
}

output "role_arn" {
  description = "The annotation eks.amazonaws.com/role-arn of the service account."
  value       = aws_iam_role.run.arn
}
