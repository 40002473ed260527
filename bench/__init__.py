"""Measurements that need more than this product: other people's programs, beside ours."""
