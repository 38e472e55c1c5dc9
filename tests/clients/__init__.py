"""The API through clients that others wrote: boto3, the AWS CLI, the JavaScript SDK."""
